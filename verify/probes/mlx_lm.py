"""The probe for MLX LM: devices as in mlx.py, whose arrays it computes with.

What is looked at is the way from files on the disk to words: a model is written, loaded, and asked. Nothing is
downloaded. verify/checks/language_model.py says what the model does.
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from . import libraries
from .framework import importing
from .mlx import Mlx
from .reporting import Stage


def stages(parameters: dict[str, Any]) -> list[tuple[str, Stage]]:
    """List the stages of this probe.

    Args:
        parameters: device (wanted, as MLX names its kind), stages (names of those that are asked for, in their order),
            successors (of each word of the model the one that it answers it with; the last word ends a text, and is
            never said), prompt and length (how many words to generate).
    """
    mlx = Mlx()
    asked = {"name": ""}

    def load() -> dict[str, Any]:
        mlx.load()
        # Neither a download nor a cache in the user's home.
        os.environ.update(HF_HUB_OFFLINE="1", HF_HOME=str(Path(tempfile.gettempdir(), "metal-lab-no-hub")))
        with importing(parameters["stages"]):
            return {"version": str(importlib.import_module("mlx_lm").__version__)}

    def devices() -> dict[str, Any]:
        seen = mlx.devices()
        if parameters["device"] in seen["present"]:
            asked["name"] = mlx.choose(parameters["device"])
        return {**seen, "asked": asked["name"]}

    def generate() -> dict[str, Any]:
        mlx_lm = importlib.import_module("mlx_lm")
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), mlx.mx, parameters["successors"])
            model, tokenizer = mlx_lm.load(folder)
            prompt = " ".join(_word(one) for one in parameters["prompt"])
            said = mlx_lm.generate(model, tokenizer, prompt, max_tokens=parameters["length"])
        # All that is generated is computed on this stream (mlx_lm/generate.py).
        stream = importlib.import_module("mlx_lm.generate").generation_stream
        return {"asked": asked["name"], "ran_on": str(stream.device), "said": said}

    known: dict[str, Stage] = {
        "import": load,
        "device": devices,
        "generate": generate,
        "libraries": lambda: {"openmp": libraries.openmp()},
    }
    return [(name, known[name]) for name in parameters["stages"]]


def _write(folder: Path, mx: Any, successors: list[int]) -> None:
    """Write the model as Hugging Face lays one out: configuration, weights, tokenizer."""
    words = len(successors)
    same, none, ones = np.eye(words, dtype=np.float32), np.zeros((words, words), np.float32), np.ones(words, np.float32)
    counted = same * (1 + np.arange(words, dtype=np.float32) / 64)
    head = np.zeros((words, words), np.float32)
    head[successors, np.arange(words)] = 1
    layer = "model.layers.0."
    weights = {
        "model.embed_tokens.weight": same,
        layer + "input_layernorm.weight": ones,
        # Without a query all words so far are looked at alike.
        layer + "self_attn.q_proj.weight": none,
        layer + "self_attn.k_proj.weight": none,
        layer + "self_attn.v_proj.weight": same,
        # The norm made each word sqrt(words) long: its share of the text counts 32 times as much as being the latest.
        layer + "self_attn.o_proj.weight": counted * np.float32(32 / words**0.5),
        layer + "post_attention_layernorm.weight": ones,
        **{f"{layer}mlp.{one}_proj.weight": none for one in ("gate", "up", "down")},
        "model.norm.weight": ones,
        "lm_head.weight": head,
    }
    mx.save_safetensors(str(folder / "model.safetensors"), {name: mx.array(value) for name, value in weights.items()})
    ends = _word(words - 1)
    configuration = {
        "model_type": "llama",
        "hidden_size": words,
        "intermediate_size": words,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "rms_norm_eps": 1e-6,
        "vocab_size": words,
        "tie_word_embeddings": False,
        "eos_token_id": words - 1,
    }
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {_word(one): one for one in range(words)}, "unk_token": ends},
    }
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": ends, "unk_token": ends}
    for name, content in (("config", configuration), ("tokenizer", tokenizer), ("tokenizer_config", settings)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def _word(number: int) -> str:
    return f"w{number}"
