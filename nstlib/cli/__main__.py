"""``python -m nstlib.cli`` is ``nst``."""

from .main import main

raise SystemExit(main())
