"""Pictures to work with: ``gallery`` (the course's photos, styles and paintings) and ``coco`` (photos to train on)."""
