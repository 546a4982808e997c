<?php
/** Puts the fields on the pages of Cases and Notes. Runs once, in Module Loader. */
if (!defined('sugarEntry') || !sugarEntry) {
    die('Not A Valid Entry Point');
}

function post_install()
{
    try {
        require_once 'ModuleInstall/ModuleInstaller.php';
        $installer = new ModuleInstaller();
        $installer->silent = true;
        foreach (array(@@LAYOUT@@) as $placed) {
            $installer->removeFieldsFromLayout($placed);
            $installer->addFieldsToLayout($placed);
        }
    } catch (\Throwable $failure) {
        $GLOBALS['log']->error('Casebridge: add the fields to the layouts in Studio: ' . $failure->getMessage());
    }
}
