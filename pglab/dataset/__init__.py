"""A dataset: described in datasets/<name>/, seeded once into a template database, cloned for each lab.

shop = Dataset.load("shop")
seed(cluster, shop, "full", on_progress=lambda fraction, step: print(f"{fraction:.0%} {step}"))
"""

from pglab.dataset.description import Dataset, Scale, checksum, is_seeded, template_name
from pglab.dataset.seeding import seed

__all__ = ["Dataset", "Scale", "checksum", "is_seeded", "seed", "template_name"]
