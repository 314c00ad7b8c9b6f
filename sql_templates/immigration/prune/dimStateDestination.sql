-- The states of the survey stay, travelled to or not.
DELETE FROM dimStateDestination
WHERE
    NOT EXISTS (SELECT 1 FROM factArrivetheUsa WHERE factArrivetheUsa.AddressTo = dimStateDestination.AddressTo)
    AND NOT EXISTS (
        SELECT 1 FROM {{ schema | ident }}.staging_demography AS demography
        WHERE demography.statecode = dimStateDestination.AddressTo
    );
