"""The documentation is built, and every block of code in it is run.

How a fenced block is run follows from the word after its fence:

``python``
    Run, in the order of the page and in one namespace, against a real Dask cluster. What ``run_page.given`` returns is
    there from the start: ``request``, ``user``, ``scheduler``, ``app``, ``job_manager``, ``job`` (which has ended) ...
``python`` with a path in its first line, ``# flood/job_types.py``
    Written to that file of a Django project made for the page, and imported. What the project has already
    (``mysite/settings.py``, ``mysite/urls.py``) is added to.
``sh`` with a path in its second line, ``#!/bin/sh``, ``# flood/scripts/depth.sh``
    Written to that file of the page's project, which can be run.
``html+django`` and ``css`` with a path in their first line, ``{# flood/templates/flood/page.html #}``
    Written to that file of the page's project.
``sh``
    Commands, one a line. Each program has its own check in ``commands.py``; ``python manage.py`` and ``celery`` are
    run for real in the project.
``text``
    An illustration, which nothing can run; ``test_blocks.py`` has a list of the few there are.
``{toctree}``
    Of Sphinx; ``test_build.py`` looks at it.

Any other kind fails. A page of ``conftest.ON_A_POOL`` is run beside a real HTCondor pool, whose tools are on the PATH.
What must hold when all blocks of a page have been run stands in ``afterwards/<page>.py``.
"""
