CREATE TABLE `service_state` (
	`name` text PRIMARY KEY NOT NULL,
	`value` integer NOT NULL
);
