"""OpenAI's surface: /v1/models, /v1/completions and /v1/chat/completions.

Parameters that OpenAI has and this service lacks are ignored, as OpenAI's clients expect, unless they would change
the meaning of the answer: those are refused.
"""
