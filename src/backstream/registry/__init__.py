"""From a name to a provider and a model: configuration, keys, discovery, lists of models, plug-ins."""
