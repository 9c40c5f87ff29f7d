"""Django's own server with an application that a plugin brought; ended by Ctrl-C."""

from __future__ import annotations

import signal

from tests.hosts.row import Row

__all__ = ["FILES", "ROW"]

FILES = {
    "manage.py": """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    "site_settings.py": """
SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "site_urls"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
USE_TZ = True
""",
    "site_urls.py": """
from django.http import HttpResponse
from django.urls import include, path
urlpatterns = [path("shop/", include("shop.urls")), path("own", lambda request: HttpResponse("own"))]
""",
    "shop/__init__.py": "",
    "shop/apps.py": """
import os
from django.apps import AppConfig

class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        if os.environ.get("HOST_OBSERVED"):
            from plugwarden import Sidecar
            from plugwarden.integrations import django

            django.instrument(Sidecar(breakers=False))
""",
    "shop/urls.py": """
from django.urls import path
from . import views
urlpatterns = [path("item/<int:number>", views.item), path("slow", views.slow), path("listing", views.Listing.as_view())]
""",
    "shop/views.py": """
from django.http import Http404, HttpResponse, JsonResponse
from django.views import View
from tally import tally

def item(request, number):
    tally("item")
    if number > 90:
        raise Http404
    return HttpResponse(str(number), status=500 if number % 10 == 3 else 200)

async def slow(request):
    tally("slow")
    return HttpResponse("slow")

class Listing(View):
    def get(self, request):
        tally("Listing")
        return JsonResponse({"items": [1, 2]})
""",
}

ROW = Row(
    name="django",
    requires=("django==5.2.19",),
    packages=("django",),
    files=FILES,
    command=("python", "manage.py", "runserver", "127.0.0.1:{port}", "--noreload"),
    plugins=frozenset({"shop"}),
    requests=tuple(f"/shop/item/{number}" for number in range(100))
    + ("/shop/slow", "/shop/listing", "/own", "/x") * 10,
    stop=signal.SIGINT,
    varies=(r"\[\d\d/\w+/\d{4} [\d:]+\]", r"\w+ \d+, \d{4} - [\d:]+"),
)
