"""How modules get their first values where no checkpoint fills them."""

from abc import ABC, abstractmethod

from torch import nn
from transformers import PreTrainedConfig


class InitializedModule(nn.Module, ABC):
    """A module that knows the initial values of its own tensors.

    It fills its own tensors only, never those of a submodule: transformers skips every module whose own tensors were all loaded.
    """

    @abstractmethod
    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        """Fills the tensors with functions of `transformers.initialization`, which leave loaded tensors alone."""
