"""The sections of a configuration: keys, types, defaults and descriptions.

`embedder.config` puts the sections together and knows which settings fit together.
"""
