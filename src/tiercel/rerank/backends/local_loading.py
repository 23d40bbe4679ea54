"""Loading a vision-language model and its processor, and saying what is missing where that fails."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tiercel.errors import TiercelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, ProcessorMixin

Precision = Literal["bf16", "fp16", "fp32", "auto"]
Quantisation = Literal["8bit", "4bit"]
WEIGHING = (".safetensors", ".json", ".jinja", ".model", ".txt")
"""Endings of the files in a model's folder that bear on its answers."""


@dataclass(frozen=True)
class Loaded:
    """A model, ready to be asked.

    Attributes:
        model: Of transformers' ``AutoModelForImageTextToText``.
        processor: Turns texts and pictures into its inputs; its tokenizer can pad.
        template: The chat template, in Jinja.
        device: Where the model's inputs go.
        revision: The commit of the hub that was loaded, or for a folder ``sha256:`` and a digest of its files.
    """

    model: Any
    processor: Any
    template: str
    device: torch.device
    revision: str

    @property
    def context(self) -> int | None:
        """Tokens that the model can take in; None if it does not say."""
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return int(limit) if limit else None


def load(
    name: str,
    device: str = "auto",
    precision: Precision = "bf16",
    quantisation: Quantisation | None = None,
    revision: str | None = None,
) -> Loaded:
    """Loads a model by its id on Hugging Face or from a folder.

    Args:
        name: The id, or the path of the folder.
        device: As torch names it; ``auto`` is a GPU if there is one.
        precision: Of the weights; ``auto`` as they are stored.
        quantisation: Keeps the weights of linear layers in so many bits, by way of bitsandbytes.
        revision: Branch, tag or commit on the hub; the newest if None.

    Raises:
        TiercelError: It cannot be had, takes no pictures or has no chat template, or a package is missing.
    """
    import torch

    from tiercel.models import judge

    judge.register()
    folder = Path(name).expanduser()
    if not folder.is_dir() and (folder.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1):
        raise TiercelError(
            f"model '{name}' is no folder and no id on Hugging Face: give the folder of a downloaded model, or an id "
            "such as Qwen/Qwen2.5-VL-7B-Instruct."
        )
    source = str(folder) if folder.is_dir() else name
    config = _config(name, source, revision)
    commit = getattr(config, "_commit_hash", None)
    found = torch.device(_device(device))
    processor = load_processor(name, source, config, commit or revision)
    template = _template(name, processor)
    model = _model(name, source, found, commit or revision, _weights(precision, quantisation))
    told = _fingerprint(folder) if folder.is_dir() else commit or revision or "unknown"
    return Loaded(model, processor, template, found, told)


def _device(name: str) -> str:
    import torch

    if name != "auto":
        try:
            kind = torch.device(name).type
        except RuntimeError:
            raise TiercelError(f"device '{name}' is none that torch knows: use auto, cpu, cuda or cuda:1.") from None
        if kind == "cuda" and not torch.cuda.is_available():
            raise TiercelError(f"device '{name}' is not there, because torch sees no CUDA GPU: use auto or cpu.")
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _config(name: str, source: str, revision: str | None) -> PreTrainedConfig:
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(source, revision=revision or "main")
    except (OSError, ValueError) as error:
        raise TiercelError(
            f"model '{name}' cannot be loaded ({_first_line(error)}): check the id and the connection, or give the "
            "folder of a downloaded model."
        ) from None
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise TiercelError(
            f"model '{name}' is of type {config.model_type}, which takes no pictures in a conversation: choose a "
            "vision-language model such as Qwen/Qwen2.5-VL-7B-Instruct."
        )
    return config


def _weights(precision: Precision, quantisation: Quantisation | None) -> dict[str, Any]:
    """What ``from_pretrained`` is told about the weights."""
    import torch

    types: dict[str, Any] = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32, "auto": "auto"}
    if precision not in types:
        raise TiercelError(f"precision '{precision}' is none of {', '.join(types)}: choose one of these.")
    arguments = {"dtype": types[precision]}
    if quantisation is None:
        return arguments
    if quantisation not in ("8bit", "4bit"):
        raise TiercelError(f"quantisation '{quantisation}' is neither 8bit nor 4bit: choose one of these, or none.")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise TiercelError(
            f"quantisation '{quantisation}' needs the package bitsandbytes: pip install bitsandbytes, or leave it out."
        )
    from transformers import BitsAndBytesConfig

    make: Any = BitsAndBytesConfig
    if quantisation == "8bit":
        return {**arguments, "quantization_config": make(load_in_8bit=True)}
    inner = torch.bfloat16 if precision == "auto" else types[precision]
    return {**arguments, "quantization_config": make(load_in_4bit=True, bnb_4bit_compute_dtype=inner)}


def _model(
    name: str, source: str, device: torch.device, revision: str | None, weights: dict[str, Any]
) -> PreTrainedModel:
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    auto: Any = AutoModelForImageTextToText
    # Its bars would stand between what is told on standard error.
    logging.disable_progress_bar()
    # A quantised model cannot be moved afterwards.
    place = {"device_map": {"": str(device)}} if "quantization_config" in weights else {}
    try:
        # Weights in pickles are refused: they can run a stranger's code.
        model, report = auto.from_pretrained(
            source, revision=revision or "main", use_safetensors=True, output_loading_info=True, **weights, **place
        )
    except (OSError, ValueError, ImportError) as error:
        raise TiercelError(
            f"the weights of model '{name}' cannot be loaded ({_first_line(error)}): check that they are there as "
            "safetensors, and that the download is whole."
        ) from None
    missing = sorted(report["missing_keys"])
    if missing:
        raise TiercelError(
            f"the weights of model '{name}' lack {len(missing)} of its parameters, {missing[0]} among them: "
            "download it again."
        )
    ready: PreTrainedModel = model.eval() if place else model.eval().to(device)
    return ready


def load_processor(name: str, source: str, config: PreTrainedConfig, revision: str | None) -> ProcessorMixin:
    """The processor; of one that also takes films, without torchvision, the part that takes pictures."""
    from transformers import AutoProcessor

    auto: Any = AutoProcessor
    try:
        if importlib.util.find_spec("torchvision") is None and _takes_films(config):
            processor = _without_films(source, config, revision)
        else:
            processor = auto.from_pretrained(source, revision=revision or "main")
    except ImportError as error:
        # The name of the package stands at the beginning of a text of many lines.
        raise TiercelError(
            f"the processor of model '{name}' needs a package that is not installed ({_first_line(error)}): install "
            "it, and torchvision if the processor takes films."
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise TiercelError(
            f"the processor of model '{name}' cannot be loaded ({_first_line(error)}): check that the files of its "
            "tokenizer and its image processor are beside the weights."
        ) from None
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise TiercelError(
            f"model '{name}' has no processor for both texts and pictures: check that the files of its tokenizer and "
            "its image processor are beside the weights."
        )
    if processor.tokenizer.pad_token_id is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return processor


def _takes_films(config: PreTrainedConfig) -> bool:
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    made: Any = PROCESSOR_MAPPING.get(type(config), None)
    return made is not None and "video_processor" in made.get_attributes()


def _without_films(source: str, config: PreTrainedConfig, revision: str | None) -> ProcessorMixin:
    """Puts a processor together as its class does, but for the part that reads films, which needs torchvision."""
    from transformers import AutoImageProcessor, AutoTokenizer
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
    from transformers.video_processing_utils import BaseVideoProcessor

    made: Any = PROCESSOR_MAPPING[type(config)]
    images: Any = AutoImageProcessor

    class NoFilms(BaseVideoProcessor):
        """Stands where a processor of films is expected; it is never asked."""

        num_frames = None
        fps = None

        def __init__(self) -> None:
            """Nothing is set up."""

    class WithoutFilms(made):  # type: ignore[misc]
        """Takes `NoFilms` for a processor of films, which transformers itself cannot check without torchvision."""

        def check_argument_for_proper_class(self, argument_name: str, argument: object) -> object:
            """The class that an argument is expected to have."""
            if isinstance(argument, NoFilms):
                return NoFilms
            return super().check_argument_for_proper_class(argument_name, argument)

    settings, rest = made.get_processor_dict(source, revision=revision or "main")
    parts: dict[str, Any] = {
        "image_processor": lambda: images.from_pretrained(source, revision=revision or "main"),
        "tokenizer": lambda: AutoTokenizer.from_pretrained(source, revision=revision or "main"),
        "video_processor": NoFilms,
    }
    rest = {key: value for key, value in rest.items() if key != "revision"}
    arguments = [parts[part]() for part in made.get_attributes()]
    processor: ProcessorMixin = WithoutFilms.from_args_and_dict(arguments, settings, **rest)
    return processor


def _template(name: str, processor: ProcessorMixin) -> str:
    template = getattr(processor, "chat_template", None) or getattr(processor.tokenizer, "chat_template", None)
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        raise TiercelError(
            f"model '{name}' has no chat template, so a question cannot be put as it was trained on: choose a model "
            "tuned for conversation, or put a chat_template.jinja into its folder."
        )
    return str(template)


def _fingerprint(folder: Path) -> str:
    """Of everything in the folder that bears on the answers, whole files with their names."""
    digest = hashlib.sha256()
    for file in sorted(file for file in folder.iterdir() if file.suffix in WEIGHING and file.is_file()):
        with file.open("rb") as opened:
            digest.update(f"{file.name}:{hashlib.file_digest(opened, 'sha256').hexdigest()};".encode())
    return f"sha256:{digest.hexdigest()}"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__
