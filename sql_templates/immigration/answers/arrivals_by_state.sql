-- Which states do travellers go to, and how many travellers is that per thousand inhabitants of the state's cities?
-- One row stands for all who gave no state, or what is no state's code.
SELECT
    S.StateCode,
    COALESCE(S.State, 'None, or no state') AS State,
    COUNT(*) AS arrivals,
    S.TotalPopulation,
    S.ForeignBorn,
    CAST(CAST(COUNT(*) AS DOUBLE PRECISION) * 1000 / NULLIF(S.TotalPopulation, 0) AS DECIMAL(12, 3)) AS arrivals_per_thousand
FROM factArrivetheUsa AS F
JOIN dimStateDestination AS S ON S.AddressTo = F.AddressTo
GROUP BY S.StateCode, S.State, S.TotalPopulation, S.ForeignBorn
ORDER BY arrivals DESC, S.StateCode;
