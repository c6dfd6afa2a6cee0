"""What an ASGI server runs: ``uvicorn jobsapi.portal.asgi:application``."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobsapi.portal.settings")

application = get_asgi_application()
