import os
from pathlib import Path
from string import Template

from dodo_datafast_flask import dodo
from flask import Flask

app = Flask(__name__)
app.register_blueprint(dodo)


@app.get("/")
def home() -> str:
    return Template(Path("page.html").read_text()).substitute(os.environ, CSRF="")
