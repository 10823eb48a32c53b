"""A small painting program: seeded pictures made of strokes, glass, ink and dots.

This package paints every picture of the course's style set from nothing but a
seed.  Its modules, the lowest level first:

* :mod:`painting.colour`  -- OKLab colour, harmonies, jitter of pigments
* :mod:`painting.fields`  -- noise, vortices and other smooth functions of the plane
* :mod:`painting.brush`   -- the canvas and its bristle strokes, lit as relief
* :mod:`painting.pen`     -- crisp shapes: contours of varying width, polygons, paper
* one module per picture (``nocturne``, ``waves``, ...), each with ``paint(size, seed)``;
  :mod:`painting.town` is the drawing under ``hatching``
"""
