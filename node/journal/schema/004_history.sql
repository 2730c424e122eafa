-- For people who look back: commands in the order of their admission, and the newest drill of each account.

CREATE INDEX command_by_first_seq ON command (first_seq);
CREATE INDEX command_by_account ON command (account, first_seq);
CREATE INDEX command_closes_ended ON command (account, newest_seq)
WHERE ended_at IS NOT NULL AND action IN ('CLOSE_ALL', 'FLATTEN');
