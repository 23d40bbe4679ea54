"""Whatever runs a vision-language model: in this process, or behind a server. Both keep their answers on disk."""

from tiercel.rerank.backends.backend import Answer, Backend, Picture, Request, Turn

__all__ = ["Answer", "Backend", "Picture", "Request", "Turn"]
