import os
from pathlib import Path
from string import Template

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path

CSRF = "django.middleware.csrf.CsrfViewMiddleware"
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="for tests", MIDDLEWARE=[CSRF], DEBUG=True)


def home(request: HttpRequest) -> HttpResponse:
    token = f'<input type="hidden" name="csrfmiddlewaretoken" value="{get_token(request)}">'
    return HttpResponse(Template(Path("page.html").read_text()).substitute(os.environ, CSRF=token))


urlpatterns = [path("", home), path("", include("dodo_datafast_django"))]

if __name__ == "__main__":
    execute_from_command_line()
