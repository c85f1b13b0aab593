"""Run in a process of its own: load a model as any user of MLflow would, and ask it.

Arguments: tracking URI, model URI, questions as a JSON list. A list of answers comes back on the
last line, after the file that the answering code was loaded from.
"""

import json
import sys

import mlflow
import pandas as pd

tracking, uri, questions = sys.argv[1:4]
mlflow.set_tracking_uri(tracking)
model = mlflow.pyfunc.load_model(uri)
answers = [
    model.predict(pd.DataFrame([question])).to_dict(orient="records")[0]
    for question in json.loads(questions)
]
code = sys.modules["serving.answering"].__file__
sys.stdout.write("\n" + json.dumps({"code": code, "answers": answers}) + "\n")
