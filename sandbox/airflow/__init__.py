"""The sandbox's Airflow: four processes with their own PostgreSQL, and a client for their REST API.

configuration   the processes' configuration, as environment variables
database        Airflow's PostgreSQL, copied from a template that was migrated once
restarts        decides when a component that died is restarted
server          starts, supervises and stops the processes
client          the part of Airflow's REST API that the sandbox uses
"""
