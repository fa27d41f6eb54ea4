"""Any folder of images: all of them, sorted, unless --image_list names some and their classes."""

from SNGAN.datasets import listing

FolderDataset = listing.open_images
