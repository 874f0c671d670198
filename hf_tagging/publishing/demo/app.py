"""Browser demo: text or a file in, tags and entities in colour out, models side by side.

The page loads nothing from other servers, and reports nothing. Requires gradio (``pip install 'hf-tagging[demo]'``).
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hf_tagging.errors import ConfigError, Problem
from hf_tagging.hub import first_line
from hf_tagging.publishing.demo.models import known_figures, load_taggers, name_models

if TYPE_CHECKING:
    from gradio import Blocks

    from hf_tagging.inference.tagger import Tagger
    from hf_tagging.publishing.demo.actions import DemoActions

__all__ = ["build_demo", "known_figures", "launch_demo", "launch_options", "load_taggers"]

_EXAMPLES = (
    "Jordan will book a table in May because the chef from Lisbon loves her book.",
    "On Tuesday, Maria Duarte left Acme Corp. in New York for the European Parliament in Strasbourg.",
    "Didn't the Nile flood Aswan again? I read it at https://example.org/news, twice.",
)
_FORMATS = (
    ("detected automatically", ""),
    ("column: one word per line", "column"),
    ("jsonl: one JSON object per line, with tokens or text", "jsonl"),
    ("text: one text per line", "text"),
)
_CLEAN_EVERY, _KEEP = 600, 3600  # seconds between two cleanings of uploaded files, and their maximum age
# Tagging uses all cores, and tokenizers are not thread-safe.
_ONE_AT_A_TIME = {"concurrency_id": "tagger", "concurrency_limit": 1}


def launch_demo(
    models: Sequence[str | Path],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    device: str | None = None,
    trust_remote_code: bool = False,
    open_browser: bool = True,
) -> None:
    """Serve the demo until Ctrl-C; uploaded files are removed at the end.

    Args:
        models: Output folders of runs, or names on the Hub.
        host: Address to listen on; ``0.0.0.0`` accepts connections from other machines.
        port: Port to listen on. Default: the first free one from 7860.
        share: Request a public address from gradio, through a server of Hugging Face.
        device: Device to run on. Default: the accelerator if there is one.
        trust_remote_code: Run code that comes with a model.
        open_browser: Open the page if there is a display.

    Raises:
        ConfigError: If gradio is not installed, no model was given, or the address cannot be used.
        ModelError: If a model does not exist, or is not a tagger.
    """
    named = name_models(models)
    _check_address(host, port)
    with tempfile.TemporaryDirectory(prefix="hf_tagging_demo_") as folder, _files_of_gradio_in(folder):
        load_gradio()  # before the models, so that a missing package is reported at once
        demo = build_demo(load_taggers(named, device=device, trust_remote_code=trust_remote_code), known_figures(named))
        try:
            _, url, _ = demo.launch(
                **launch_options(),
                server_name=host,
                server_port=port,
                share=share,
                inbrowser=open_browser and _has_screen(),
                prevent_thread_lock=True,
                quiet=True,
            )
        except OSError as error:  # gradio's own message names an environment variable
            raise _address_error(host, port) from error
        print(f"The demo is at {url} (stop with Ctrl-C).", flush=True)
        _wait_for_interrupt()
        demo.close(verbose=False)
    print("\nThe demo has stopped.")


def _check_address(host: str, port: int | None) -> None:
    """Make sure that the address can be listened on: gradio would try 100 ports, five seconds each.

    Raises:
        ConfigError: If it cannot.
    """
    if port is not None and not 0 < port < 2**16:
        raise ConfigError([Problem("port", port, f"there is no port {port}", f"give a number from 1 to {2**16 - 1}")])
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
        family, *_, address = min(found, key=lambda place: place[0])  # IPv4, which gradio tries first
        socket.create_server((address[0], port or 0, *address[2:]), family=family).close()
    except (OSError, UnicodeError) as error:
        raise _address_error(host, port) from error


def _address_error(host: str, port: int | None) -> ConfigError:
    place = f"{host}, port {port or '7860 or one of the next 99'}"
    reason = f"cannot listen on {place}: it is in use, or not an address of this machine"
    return ConfigError([Problem("host, port", (host, port), reason, "choose others")])


def build_demo(taggers: Mapping[str, Tagger], figures: Mapping[str, str] | None = None) -> Blocks:
    """Build the page; ``build_demo(taggers).launch(**launch_options())`` serves it.

    Args:
        taggers: Taggers by the names to show.
        figures: Scores by the same names, such as ``F1 0.9123 on its test split``.

    Raises:
        ConfigError: If gradio is not installed, or there is no tagger.
    """
    gradio = load_gradio()
    from hf_tagging.publishing.demo.actions import DemoActions
    from hf_tagging.publishing.demo.page import escaped, models_note

    actions = DemoActions(taggers)
    names = list(taggers)
    title = names[0] if len(names) == 1 else f"{len(names)} taggers side by side"
    page: Blocks = gradio.Blocks(title=title, analytics_enabled=False, delete_cache=(_CLEAN_EVERY, _KEEP))
    with page:
        schemas = {name: tagger.schema for name, tagger in taggers.items()}
        gradio.HTML(f"<h1>{escaped(title)}</h1>{models_note(schemas, figures or {})}", elem_id="about")
        with gradio.Tab("Text"):
            _text_tab(gradio, actions)
        with gradio.Tab("File"):
            _file_tab(gradio, actions)
        _program_interface(gradio, actions)
    return page


def launch_options() -> dict[str, Any]:
    """Return the options for `launch`: theme, upload limit, and gradio's reporting and history off."""
    from hf_tagging.publishing.demo.actions import MOST_BYTES
    from hf_tagging.publishing.demo.page import STYLE

    themes = load_gradio().themes
    # Fonts that come with gradio. Its semi-bold has no Latin letters (gradio 6.31), so bold is used instead.
    font = (themes.utils.fonts.LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif")
    return {
        "theme": themes.Default(primary_hue="indigo", font=font),
        "css": STYLE,
        "max_file_size": MOST_BYTES,
        "footer_links": ["api"],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
    }


def load_gradio() -> ModuleType:
    """Import gradio with its telemetry off.

    Raises:
        ConfigError: If it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        return importlib.import_module("gradio")
    except ImportError as error:
        raise ConfigError(
            f"demo: needs gradio, which is not installed ({first_line(error)}). Type: pip install 'hf-tagging[demo]'"
        ) from error


def _text_tab(gradio: ModuleType, actions: DemoActions) -> None:
    names = list(actions.taggers)
    text = gradio.Textbox(
        label="Text", lines=4, max_lines=16, placeholder="Type or paste text, then press Shift+Enter.", elem_id="text"
    )
    chosen = gradio.CheckboxGroup(names, value=names, label="Models", visible=len(names) > 1, elem_id="models")
    button = gradio.Button("Tag", variant="primary", elem_id="tag")
    gradio.Examples([[example] for example in _EXAMPLES], text, cache_examples=False, label="Examples")
    answer = gradio.HTML(elem_id="answer")
    gradio.on(
        [button.click, text.submit],
        actions.show_text,
        [text, chosen],
        answer,
        api_visibility="private",
        **_ONE_AT_A_TIME,
    )
    with gradio.Accordion("Why this tag?", open=False):
        with gradio.Row():
            word = gradio.Textbox(label="Word of the text", placeholder="Porto", max_lines=1, elem_id="word")
            explain = gradio.Button("Explain", elem_id="explain")
        why = gradio.HTML(elem_id="why")
    gradio.on(
        [explain.click, word.submit],
        actions.explain_word,
        [text, word, chosen],
        why,
        api_visibility="private",
        **_ONE_AT_A_TIME,
    )


def _file_tab(gradio: ModuleType, actions: DemoActions) -> None:
    names = list(actions.taggers)
    with gradio.Row():
        upload = gradio.File(label="File, UTF-8, up to 5 MB", height=180, elem_id="upload")
        pasted = gradio.Textbox(label="Or paste its content", lines=6, max_lines=6, elem_id="pasted")
    with gradio.Row():
        format = gradio.Dropdown(list(_FORMATS), value="", label="Format", elem_id="format")
        model = gradio.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1, elem_id="model")
    button = gradio.Button("Tag file", variant="primary", elem_id="tag-file")
    note = gradio.HTML(elem_id="file-note")
    download = gradio.DownloadButton("Download", visible=False, elem_id="download")
    folder = Path(upload.GRADIO_CACHE)  # gradio serves the files below it, and removes old ones

    def tag_upload(path: str | None, lines: str, kind: str, name: str) -> tuple[str, object]:
        shown, tagged = actions.show_file(path, lines, kind, name, folder)
        label = f"Download {tagged.name}" if tagged else "Download"
        return shown, gradio.DownloadButton(label, value=tagged, visible=tagged is not None)

    inputs = [upload, pasted, format, model]
    button.click(tag_upload, inputs, [note, download], api_visibility="private", **_ONE_AT_A_TIME)


def _program_interface(gradio: ModuleType, actions: DemoActions) -> None:
    """Add the endpoint ``/tag`` of the HTTP API."""
    from hf_tagging.errors import TaggingError

    def tag(text: str, model: str = "") -> dict[str, Any]:
        """Tag a text; model: a name on the page, or empty for the first."""
        try:
            return actions.tag(text, model)
        except TaggingError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    gradio.api(tag, api_name="tag", **_ONE_AT_A_TIME)


@contextmanager
def _files_of_gradio_in(folder: str) -> Iterator[None]:
    """Keep uploads and tagged files below a folder, which the caller removes."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before


def _has_screen() -> bool:
    """Return True if there is a display; elsewhere `webbrowser` may open a text browser in the terminal."""
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def _wait_for_interrupt() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return
