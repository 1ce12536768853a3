"""`import eomt` loads what a forward pass needs; what training, data and scores need is loaded where it is used."""

import subprocess
import sys

# scipy is not among them: transformers loads it by itself where it is installed
HEAVY = ("pycocotools", "timm", "datasets", "evaluate")


def test_importing_the_package_loads_no_package_of_training_or_scoring():
    code = f"import sys, eomt; print(*[name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
