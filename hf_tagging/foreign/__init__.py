"""Private names of other libraries, one touch each, in one module per library.

A private name may change in any release. Each touch says what it does, which version it was seen in, why there is no
public way, and what it is called upstream. `tests/test_foreign.py` finds private names that are used elsewhere, and
holds a contract for each one that is used here.

Two kinds stay where they are:

- Methods that a library's documentation tells to define: `_info`, `_split_generators`, `_generate_examples` (datasets),
  `_info`, `_compute` (evaluate), `_init_weights` and `_supports_*` (transformers).
- Files that are saved with models, and cannot import this package: `modeling_baseline.py` has
  `_ddp_params_and_buffers_to_ignore`, by which a module tells DistributedDataParallel which buffers not to broadcast
  (torch 2.13); `recurrent.py` and `word_embeddings.py` read `_is_hf_initialized`, by which Transformers marks a
  parameter that was loaded and is not to be drawn (5.23).
"""
