#!/bin/sh
# MWAA runs this in each of its containers before Airflow, and takes over what it exports.
# Schedules of this deployment (setup_backend.md, "Schedules by deployment"), where the bucket has the file.
if [ -f /usr/local/airflow/dags/schedules.json ]; then
    export MAYFLY_SCHEDULES=/usr/local/airflow/dags/schedules.json
fi
