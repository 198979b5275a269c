CREATE TABLE `budgets` (
	`name` text PRIMARY KEY NOT NULL,
	`until` integer NOT NULL,
	`owner` text DEFAULT '' NOT NULL,
	`strikes` integer DEFAULT 0 NOT NULL,
	`hour` integer DEFAULT 0 NOT NULL,
	`used` integer DEFAULT 0 NOT NULL
);
