"""Embeds images and prints how similar each is to the first one.

usage: embed.py MODEL.dsl IMAGE...
"""

import sys

import dsl

if len(sys.argv) < 3:
    sys.exit(__doc__)
model_path, *images = sys.argv[1:]
try:
    with dsl.Model.load(model_path) as model:
        embeddings = model.embed(images)
        similarities = embeddings @ embeddings[0]
        for path, similarity in zip(images, similarities):
            print(f"{similarity:.4f} {path}")
except dsl.Error as e:
    sys.exit(f"error: {e}")
