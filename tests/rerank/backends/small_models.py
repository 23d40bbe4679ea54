"""Vision-language models of several families, far too small to be of use, with weights drawn at random."""

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 700,
}
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAVA = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
IDEFICS = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}:{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def tokenizer(specials: list[str], **names: str) -> PreTrainedTokenizerFast:
    """Bytes and a few words, and the special tokens of a family."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    words = ["Yes No yes no Which of the two pictures fits better? Answer 1 or 2. left right"] * 4
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(words, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False))
    core.add_special_tokens([AddedToken(token, special=True) for token in ["<pad>", "</s>", *specials]])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="</s>",
        padding_side="right",
        extra_special_tokens=names,
    )


def save(model, folder: Path) -> Path:
    """Writes a model whose weights are large enough that its answers differ."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    model.eval().save_pretrained(folder)
    return folder


def llava(folder: Path) -> Path:
    """LLaVA-1.5: the template puts pictures first, the image processor crops."""
    from transformers import CLIPImageProcessorPil, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    words = tokenizer(["<image>"])
    size = {"height": 28, "width": 28}
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=size)
    LlavaProcessor(
        pictures, words, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=LLAVA,
    ).save_pretrained(folder)  # fmt: skip
    text = {"model_type": "llama", "vocab_size": len(words), **TEXT}
    tower = {"model_type": "clip_vision_model", "projection_dim": 32, **TOWER}
    image = words.convert_tokens_to_ids("<image>")
    config = LlavaConfig(text_config=text, vision_config=tower, image_token_id=image, vision_feature_layer=-2)
    return save(LlavaForConditionalGeneration(config), folder)


def llava_onevision(folder: Path) -> Path:
    """LLaVA-OneVision: one picture alone is cut into tiles, several are not."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessorPil,
    )

    words = tokenizer(["<|im_start|>", "<|im_end|>", "<image>", "<video>"])
    grids = [[28, 28], [28, 56], [56, 28]]
    pictures = LlavaOnevisionImageProcessorPil(size={"height": 28, "width": 28}, image_grid_pinpoints=grids)
    parts(folder, words, pictures, CHATML.replace("IMAGE", "<image>\n"), "LlavaOnevisionProcessor", {
        "num_image_tokens": 4, "vision_feature_select_strategy": "full",
    })  # fmt: skip
    text = {"model_type": "qwen2", "vocab_size": len(words), **TEXT}
    config = LlavaOnevisionConfig(
        text_config=text,
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **TOWER},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        video_token_id=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grids,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return save(LlavaOnevisionForConditionalGeneration(config), folder)


QWEN = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def qwen_parts(folder: Path, name: str, **sizes: int) -> dict:
    """The processor of either Qwen-VL; returns the ids of its special tokens."""
    from transformers import Qwen2VLImageProcessorPil

    words = tokenizer(QWEN)
    pictures = Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=56 * 56, **sizes)
    template = CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    parts(folder, words, pictures, template, name, {})
    ids = {
        f"{key}_token_id": words.convert_tokens_to_ids(token)
        for key, token in zip(("vision_start", "vision_end", "image", "video"), QWEN[2:], strict=True)
    }
    return {"vocab_size": len(words), **ids}


def qwen25(folder: Path) -> Path:
    """Qwen2.5-VL: positions in three directions."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    ids = qwen_parts(folder, "Qwen2_5_VLProcessor", patch_size=14)
    text = {**TEXT, "vocab_size": ids.pop("vocab_size"), "rope_parameters": {
        "rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2],
    }}  # fmt: skip
    tower = {
        "hidden_size": 32, "intermediate_size": 64, "depth": 2, "num_heads": 4, "patch_size": 14,
        "spatial_merge_size": 2, "out_hidden_size": 32, "window_size": 56, "fullatt_block_indexes": [1],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(text_config=text, vision_config=tower, **ids)
    return save(Qwen2_5_VLForConditionalGeneration(config), folder)


def qwen3(folder: Path) -> Path:
    """Qwen3-VL: pictures enter at several layers."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    ids = qwen_parts(folder, "Qwen3VLProcessor", patch_size=14)
    text = {**TEXT, "vocab_size": ids.pop("vocab_size"), "head_dim": 8, "rope_parameters": {
        "rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1], "mrope_interleaved": True,
    }}  # fmt: skip
    tower = {
        "hidden_size": 32, "intermediate_size": 64, "depth": 2, "num_heads": 4, "patch_size": 14,
        "spatial_merge_size": 2, "out_hidden_size": 32, "deepstack_visual_indexes": [0], "num_position_embeddings": 64,
    }  # fmt: skip
    config = Qwen3VLConfig(text_config=text, vision_config=tower, **ids)
    return save(Qwen3VLForConditionalGeneration(config), folder)


def idefics3(folder: Path) -> Path:
    """Idefics3, of which SmolVLM descends: every picture stands between tokens of its own."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3ImageProcessorPil

    words = tokenizer(["<|im_start|>", *IDEFICS_TOKENS])
    edge = {"longest_edge": 28}
    pictures = Idefics3ImageProcessorPil(size=edge, max_image_size=edge, do_image_splitting=False)
    parts(folder, words, pictures, IDEFICS, "Idefics3Processor", {"image_seq_len": 1})
    text = {"model_type": "llama", "vocab_size": len(words), "pad_token_id": words.pad_token_id, **TEXT}
    config = Idefics3Config(
        text_config=text, vision_config=TOWER, scale_factor=2, image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
    )  # fmt: skip
    return save(Idefics3ForConditionalGeneration(config), folder)


IDEFICS_TOKENS = ["<fake_token_around_image>", "<image>", "<global-img>", "<end_of_utterance>"]


def smolvlm(folder: Path) -> Path:
    """SmolVLM."""
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration, SmolVLMImageProcessorPil

    words = tokenizer(["<|im_start|>", "<video>", *IDEFICS_TOKENS])
    edge = {"longest_edge": 28}
    pictures = SmolVLMImageProcessorPil(size=edge, max_image_size=edge, do_image_splitting=False)
    parts(folder, words, pictures, IDEFICS, "SmolVLMProcessor", {"image_seq_len": 1})
    text = {"model_type": "llama", "vocab_size": len(words), "pad_token_id": words.pad_token_id, **TEXT}
    config = SmolVLMConfig(
        text_config=text, vision_config=TOWER, scale_factor=2, image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
    )  # fmt: skip
    return save(SmolVLMForConditionalGeneration(config), folder)


def internvl(folder: Path) -> Path:
    """InternVL: pictures are cut into patches."""
    from transformers import GotOcr2ImageProcessorPil, InternVLConfig, InternVLForConditionalGeneration

    names = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    words = tokenizer(["<|im_start|>", "<|im_end|>"], **names, video_token="<video>")
    size = {"height": 28, "width": 28}
    pictures = GotOcr2ImageProcessorPil(size=size, crop_to_patches=True, max_patches=3, min_patches=1)
    template = CHATML.replace("IMAGE", "<IMG_CONTEXT>\n")
    parts(folder, words, pictures, template, "InternVLProcessor", {"image_seq_length": 1})
    text = {"model_type": "qwen2", "vocab_size": len(words), **TEXT}
    tower = {**TOWER, "image_size": [28, 28], "patch_size": [14, 14]}
    config = InternVLConfig(
        text_config=text, vision_config=tower, image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=1,
    )  # fmt: skip
    return save(InternVLForConditionalGeneration(config), folder)


def parts(folder: Path, words, pictures, template: str, name: str, arguments: dict) -> None:
    """The files of a processor that takes films as well, which is more than can be made here without torchvision."""
    import json

    words.chat_template = template
    words.save_pretrained(folder)
    pictures.save_pretrained(folder)
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": name, **arguments}))


FAMILIES = {
    "llava": llava,
    "llava_onevision": llava_onevision,
    "qwen25": qwen25,
    "qwen3": qwen3,
    "idefics3": idefics3,
    "smolvlm": smolvlm,
    "internvl": internvl,
}
