CREATE TABLE `audit` (
	`seq` integer PRIMARY KEY NOT NULL,
	`at` integer NOT NULL,
	`actor` text NOT NULL,
	`actor_id` integer,
	`actor_name` text,
	`action` text NOT NULL,
	`user_id` integer,
	`connection_id` integer,
	`product` text,
	`ip` text,
	`request_id` text,
	`detail` text,
	`hash` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `audit_user` ON `audit` (`user_id`,`seq`);--> statement-breakpoint
CREATE INDEX `audit_action` ON `audit` (`action`,`seq`);--> statement-breakpoint
CREATE INDEX `audit_at` ON `audit` (`at`);--> statement-breakpoint
CREATE TABLE `audit_head` (
	`id` integer PRIMARY KEY NOT NULL,
	`seq` integer NOT NULL,
	`hash` text NOT NULL,
	`cut_seq` integer NOT NULL,
	`cut_hash` text NOT NULL
);
--> statement-breakpoint
CREATE TRIGGER `audit_stays` BEFORE UPDATE ON `audit` BEGIN SELECT RAISE(ABORT, 'Audit rows are not changed'); END;--> statement-breakpoint
-- Only what the head has cut off may go, and what a copy into a new database begins anew.
CREATE TRIGGER `audit_remains` BEFORE DELETE ON `audit`
WHEN OLD.`seq` > coalesce((SELECT `cut_seq` FROM `audit_head`), 0) AND NOT EXISTS (SELECT 1 FROM `sqlite_master` WHERE `name` = 'copy_in_progress')
BEGIN SELECT RAISE(ABORT, 'Audit rows are not removed'); END;
