"""The sandbox's Airflow: four processes on a PostgreSQL of their own, and a client for their REST API.

configuration   what the processes are told, as environment variables
database        Airflow's PostgreSQL, from a template that was migrated once
server          starts, watches and stops the processes
client          Airflow's REST API, as far as the sandbox asks it
"""
