"""A server as one writes it from the documentation of FastAPI and Transformers; the peer of `serving.py`.

MODEL=runs/ner uvicorn --app-dir benchmarks plain_server:app
"""

import os

from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

app = FastAPI()
tagger = pipeline("token-classification", model=os.environ["MODEL"], aggregation_strategy="simple")


class Request(BaseModel):
    """A text to tag."""

    text: str


@app.post("/tag")
def tag(request: Request) -> list[dict]:
    """Tag a text."""
    return [{**entity, "score": float(entity["score"])} for entity in tagger(request.text)]
