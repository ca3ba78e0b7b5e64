import os
from pathlib import Path
from string import Template

from dodo_datafast_starlette import dodo
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

app = FastAPI()
app.routes.extend(dodo)


@app.get("/", response_class=HTMLResponse)
def home() -> str:
    return Template(Path("page.html").read_text()).substitute(os.environ, CSRF="")
