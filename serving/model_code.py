"""What MLflow runs to rebuild the model ("models from code")."""

from mlflow.models import set_model

from serving.pyfunc import DupnModel

set_model(DupnModel())
