"""What is done to a trained model, or to a published one."""
