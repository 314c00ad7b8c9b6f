-- The states in the survey are kept, also those that no fact references.
DELETE FROM dimStateDestination
WHERE
    NOT EXISTS (SELECT 1 FROM factArrivetheUsa WHERE factArrivetheUsa.AddressTo = dimStateDestination.AddressTo)
    AND NOT EXISTS (
        SELECT 1 FROM {{ schema | ident }}.staging_demography AS demography
        WHERE demography.statecode = dimStateDestination.AddressTo
    );
