"""AWS on one machine: moto's API in a process of our own, with a life, refusals, a call log and faults.

    server.py     serves it all, starts and stops
    gateway.py    what every request passes: call log, faults, AWS-style errors
    calls.py      which service.action a request is, by its IAM name; the log of calls
    faults.py     what goes wrong on request
    control.py    `/_sandbox/…`, for tests and for the sandbox's other parts
    workers.py    the processes behind clusters: Livy, the Redshift front
    emr.py        the life of an EMR cluster; emr_checks.py: what AWS refuses
    redshift.py   the life of a warehouse; redshift_checks.py, snapshots.py
    s3.py         objects as files; conditional writes
    iam.py ec2.py what moto leaves out there
    state.py      what lies in the state directory

Nothing in product code knows this package.
"""
