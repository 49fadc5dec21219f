"""The service under EleutherAI's lm-evaluation-harness."""
