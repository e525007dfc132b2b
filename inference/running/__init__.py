"""Reading a slide for the models, and running them."""
