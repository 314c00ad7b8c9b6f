"""AWS on one machine: moto's API in its own process, with lifecycles, validation, a call log and faults.

    server.py     starts and stops the process
    gateway.py    handles every request first: call log, injected faults, errors in AWS's format
    calls.py      names a request's `service.action` as IAM does; the call log
    faults.py     injected faults
    control.py    `/_sandbox/…`, for tests and for the other parts of the sandbox
    workers.py    the processes behind clusters: Livy, the Redshift simulator
    schedule.py   when states change: by real timers here, by a clock moved by hand in tests/world
    emr.py        EMR clusters; emr_life.py: their states; emr_checks.py: the requests that AWS refuses
    redshift.py   warehouses; redshift_life.py: their states; redshift_checks.py, snapshots.py
    s3.py         objects as files; conditional writes
    iam.py ec2.py what moto lacks there
    state.py      the content of the state directory

Product code never uses this package.
"""
