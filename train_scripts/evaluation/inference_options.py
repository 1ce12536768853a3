"""The options that scoring and prediction have in common, each the `metadata` of a field.

They are no base class: programs call both by position, and a base class's fields would come first.
"""

from eomt.train_scripts.evaluation.tasks import TASKS

CHECKPOINT = {"help": "EoMT checkpoint, a folder (also of an interrupted run) or a Hub name"}
TASK = {"help": "what the model segments", "choices": list(TASKS)}
BATCH_SIZE = {"help": "images a process and forward pass"}
THRESHOLD = {"help": "class score that a query needs to become a segment (panoptic)"}
BF16 = {"help": "bfloat16 autocast; by default where the machine is faster in it"}
ATTENTION = {"help": "eager, sdpa, flash_attention_2 or flex_attention"}
MASKED = {"help": "mask the last blocks, for a model trained with --masking always"}
