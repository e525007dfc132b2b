"""Results of models that run on a recipient's servers: which models, and what their answers say."""
