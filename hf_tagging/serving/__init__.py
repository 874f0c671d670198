"""HTTP server of taggers: `hf-tagging serve`. Requires the extra `serve` (``pip install 'hf-tagging[serve]'``).

A request is checked against the limits (`guard`, `bodies`), cut into sentences of words and queued (`batcher`). What
waits for one model goes to it in one call. `app` is the FastAPI application, `server` the process around it.
"""
