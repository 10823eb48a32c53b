"""A small painting program: seeded pictures made of strokes, glass, ink and dots.

Every picture of the course's style set is painted by this package from nothing
but a seed.  The modules, from the ground up:

* :mod:`painting.colour`  -- OKLab colour, harmonies, pigments' jitter
* :mod:`painting.fields`  -- noise, vortices and other smooth functions of the plane
* :mod:`painting.brush`   -- the canvas and its bristle strokes, lit as relief
* :mod:`painting.pen`     -- crisp shapes: contours of varying width, polygons, paper
* one module a picture (``nocturne``, ``waves``, ...), each with ``paint(size, seed)``;
  :mod:`painting.town` is the drawing under ``hatching``
"""
