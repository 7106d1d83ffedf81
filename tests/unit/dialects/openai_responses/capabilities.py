"""What the Responses API does not offer, and why; read by the table of the documentation.

Source: OpenAI's OpenAPI description 2.3.0, where content of a message is text, an image or a file, and an output item
holds text, a refusal or an image.
"""

NOT_OFFERED = {
    "names": "a message has a role and no name (EasyInputMessage)",
    "stop": "there is no parameter for stop texts (ResponseProperties)",
    "seed": "there is no parameter for a seed (ResponseProperties)",
    "audio-in": "content is text, an image or a file (InputContent); chat completions take sound",
    "audio-out": "there is no parameter for a voice, and no output item holds sound (OutputItem)",
    "video-in": "content is text, an image or a file (InputContent)",
}
