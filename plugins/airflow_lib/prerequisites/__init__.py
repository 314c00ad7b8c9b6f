"""What has to be there before a run: one file per subject, each check a function that answers with findings.

Nothing here makes, changes or removes anything. The preflight of a run (`steps.preflight`) takes the checks that are
cheap and certain; the doctor (`airflow_lib.doctor`) takes them all.
"""
