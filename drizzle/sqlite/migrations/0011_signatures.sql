ALTER TABLE `vault_keys` ADD `signing_key` text;--> statement-breakpoint
ALTER TABLE `connections` ADD `signature` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_head` ADD `signature` text DEFAULT '' NOT NULL;--> statement-breakpoint
-- The head only goes forward. INSERT OR REPLACE fires no DELETE trigger, hence the triggers on INSERT.
CREATE TRIGGER `audit_head_advances` BEFORE UPDATE ON `audit_head`
WHEN NEW.`id` <> OLD.`id` OR NEW.`seq` < OLD.`seq` OR NEW.`cut_seq` < OLD.`cut_seq` OR NEW.`cut_seq` > NEW.`seq`
BEGIN SELECT RAISE(ABORT, 'The head of the audit trail only goes forward'); END;--> statement-breakpoint
CREATE TRIGGER `audit_head_remains` BEFORE DELETE ON `audit_head`
WHEN NOT EXISTS (SELECT 1 FROM `sqlite_master` WHERE `name` = 'copy_in_progress')
BEGIN SELECT RAISE(ABORT, 'The head of the audit trail is not removed'); END;--> statement-breakpoint
CREATE TRIGGER `audit_head_once` BEFORE INSERT ON `audit_head`
WHEN EXISTS (SELECT 1 FROM `audit_head`)
BEGIN SELECT RAISE(ABORT, 'The audit trail has one head'); END;--> statement-breakpoint
CREATE TRIGGER `audit_appends` BEFORE INSERT ON `audit`
WHEN NEW.`seq` <= coalesce((SELECT `seq` FROM `audit_head`), 0) AND NOT EXISTS (SELECT 1 FROM `sqlite_master` WHERE `name` = 'copy_in_progress')
BEGIN SELECT RAISE(ABORT, 'Audit rows are only appended'); END;
