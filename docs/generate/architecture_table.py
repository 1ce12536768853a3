"""A table of the paper's architectures, from their configurations."""

from eomt.configuration import ARCHITECTURES, architecture_config


def architecture_table() -> str:
    """A row an architecture: blocks, width, heads and queries."""
    rows = []
    for name in ARCHITECTURES:
        config = architecture_config(name)
        numbers = (config.num_hidden_layers, config.num_blocks, config.hidden_size, config.num_attention_heads, config.num_queries)
        rows.append(f"| {name} | {' | '.join(map(str, numbers))} |")
    return "\n".join(["| architecture | L | L2 | width D | heads | queries Q |", "| --- " * 6 + "|", *rows])
