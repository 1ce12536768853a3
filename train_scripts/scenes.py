"""Writes the demo's dataset, or plain folders of images and masks to try `prepare` on.

python train_scripts/scenes.py --out outputs/scenes --train 6000 --val 200 --seed 0
python train_scripts/scenes.py --folders walk --count 120
"""

from eomt.train_scripts.data.scenes import main

if __name__ == "__main__":
    main()
