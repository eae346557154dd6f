"""What forwards do: what they reach, multiply, keep and hold in memory."""
